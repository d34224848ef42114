#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "commands.h"
#include "results.h"
#include "trial_run.h"

enum { TICK = 100 /* milliseconds */, READ_SIZE = 64 << 10 };

static int listener = -1, client = -1;
static char *line, *outbox; /* the request being read; the answers being sent */
static size_t line_length, outbox_length, outbox_sent;
static bool skipping; /* the rest of an overlong line */
static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
    signalled = 1;
}

static bool exiting(void)
{
    return signalled || quit_requested;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

bool control_listen(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(address.sun_path, path);
    mode_t before = umask(0177); /* mode 0600 */
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool bound = listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0;
    umask(before);
    line = malloc(MAX_LINE);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return bound && line != NULL && listen(listener, 4) == 0;
}

static void disconnect(void)
{
    close(client);
    client = -1;
    free(outbox);
    outbox = NULL;
    outbox_length = outbox_sent = line_length = 0;
    skipping = false;
    trial_stop(); /* no client is left to stop it */
}

static void flush(void)
{
    while (client >= 0 && outbox_sent < outbox_length) {
        ssize_t sent = send(client, outbox + outbox_sent, outbox_length - outbox_sent, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (sent <= 0) {
            disconnect();
            return;
        }
        outbox_sent += (size_t)sent;
    }
    outbox_length = outbox_sent = 0;
}

/* Takes the reference. */
static void control_send(json_t *message)
{
    char *text = json_dumps(message, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(message);
    if (text == NULL || client < 0) {
        free(text);
        return;
    }
    size_t length = strlen(text);
    char *more = outbox_length + length + 1 > MAX_OUTBOX ? NULL : realloc(outbox, outbox_length + length + 1);
    if (more == NULL) {
        fprintf(stderr, "ouchi-generator: the client does not read its answers; disconnecting\n");
        free(text);
        disconnect();
        return;
    }
    outbox = more;
    memcpy(outbox + outbox_length, text, length);
    outbox[outbox_length + length] = '\n';
    outbox_length += length + 1;
    free(text);
    flush();
}

static void send_error(const char *text)
{
    control_send(json_pack("{s:{s:s, s:s}}", "error", "where", "line", "text", text));
}

static void answer_line(const char *text, size_t length)
{
    json_error_t error;
    json_t *request = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (request == NULL) {
        char reason[JSON_ERROR_TEXT_LENGTH + 64];
        snprintf(reason, sizeof reason, "no JSON: %s at column %d", error.text, error.column);
        for (char *c = reason; *c != '\0'; c++)
            if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
                *c = '?';
        send_error(reason);
        return;
    }
    control_send(command_answer(request));
    json_decref(request);
}

static void take_bytes(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count && client >= 0;) {
        const char *end = memchr(bytes + i, '\n', count - i);
        size_t part = (end ? (size_t)(end - bytes) : count) - i;
        if (!skipping && line_length + part > MAX_LINE) {
            send_error("a line of more than one MiB");
            skipping = true;
        }
        if (!skipping) {
            memcpy(line + line_length, bytes + i, part);
            line_length += part;
        }
        i += part;
        if (end != NULL) {
            i++;
            if (!skipping && line_length > 0)
                answer_line(line, line_length);
            line_length = 0;
            skipping = false;
        }
    }
}

static void accept_client(void)
{
    int other = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (other < 0)
        return;
    if (client >= 0) {
        static const char busy[] = "{\"error\":{\"where\":\"socket\",\"text\":\"another client is being served\"}}\n";
        (void)!send(other, busy, sizeof busy - 1, MSG_NOSIGNAL);
        close(other);
        return;
    }
    client = other;
}

static void read_client(void)
{
    static char bytes[READ_SIZE];
    ssize_t count = recv(client, bytes, sizeof bytes, 0);
    if (count > 0)
        take_bytes(bytes, (size_t)count);
    else if (count == 0 || (errno != EAGAIN && errno != EINTR))
        disconnect();
}

void control_serve(double timeout)
{
    double last_client = now(), next_tick = now();
    while (!exiting() || (client >= 0 && outbox_sent < outbox_length && now() - last_client < 1)) {
        bool running = trial_is_running();
        struct pollfd waits[] = {{.fd = listener, .events = POLLIN},
                                 {.fd = client, .events = (short)(POLLIN | (outbox_sent < outbox_length ? POLLOUT : 0))}};
        double wait = running ? (next_tick - now()) * 1000 : TICK;
        (void)poll(waits, 2, wait < 1 ? 1 : (int)wait);
        if (waits[0].revents)
            accept_client();
        if (client >= 0 && waits[1].fd == client && waits[1].revents & (POLLIN | POLLHUP | POLLERR))
            read_client();
        if (client >= 0)
            flush();
        if (trial_poll())
            control_send(json_pack("{s:s, s:i}", "event", "done", "trial", (int)trial.number));
        else if (running && now() >= next_tick)
            control_send(progress_json());
        if (now() >= next_tick)
            next_tick = now() + TICK / 1000.0;
        if (client >= 0 && !exiting())
            last_client = now();
        else if (now() - last_client > timeout)
            break;
    }
    if (client >= 0)
        disconnect();
    trial_stop();
    close(listener);
    free(line);
}
