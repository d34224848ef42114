"use strict";
// The text of a mark, shown next to it: of the mark nearest to the pointer, or one after the other by keyboard.
const NEAR = 28;
const tip = document.getElementById("tip");
let shown = null;

function middle(mark) {
  const box = mark.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + Math.min(box.height / 2, 8)];
}

function hide() {
  if (shown) shown.classList.remove("near");
  shown = null;
  tip.hidden = true;
}

function show(mark) {
  if (mark === shown) return;
  hide();
  shown = mark;
  mark.classList.add("near");
  tip.textContent = mark.dataset.text;
  tip.hidden = false;
  const [x, y] = middle(mark);
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x - box.width / 2, document.documentElement.clientWidth - box.width - 4)) + "px";
  tip.style.top = (y > box.height + 16 ? y - box.height - 12 : y + 14) + "px";
}

for (const figure of document.querySelectorAll("figure")) {
  const marks = [...figure.querySelectorAll(".mark")];
  for (const mark of marks) {
    // The browser's own tooltips are slow and would cover ours.
    const title = mark.querySelector("title");
    mark.dataset.text = title.textContent;
    mark.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  let points = null, at = -1;
  const forget = () => { points = null; hide(); };
  figure.addEventListener("pointerleave", forget);
  addEventListener("scroll", forget, { passive: true });
  figure.addEventListener("pointermove", (event) => {
    points ??= marks.map(middle);
    let best = -1, least = NEAR * NEAR;
    points.forEach(([x, y], index) => {
      const far = (x - event.clientX) ** 2 + (y - event.clientY) ** 2;
      if (far < least) [best, least] = [index, far];
    });
    if (best < 0) return hide();
    at = best;
    show(marks[at]);
  });
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step || !marks.length) return;
    event.preventDefault();
    at = at < 0 ? 0 : (at + step + marks.length) % marks.length;
    show(marks[at]);
  });
  figure.addEventListener("blur", hide);
}

for (const button of document.querySelectorAll("button[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copies).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed here: select the text below";
    }
  });
}
