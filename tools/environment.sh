# ouchi's Python environment: found when it is ready, made when it is not. Sourced by ./ouchi and
# ./run-tests, which set $home to the checkout; afterwards $venv/bin/python runs ouchi.
#
# The environment is .venv in the checkout, or one in the user's cache where the checkout cannot be
# written. A mark in it names each lock it holds and the checkout it was made for, and is written last:
# an environment without the right mark is unfinished or old, and is made again from the start.

# environment LOCK: sees to an environment that holds LOCK (requirements.lock, or the larger
# requirements-dev.lock); sets $venv. Ends the script with status 3 and a reason when it cannot.
environment() {
    folder=$home venv=$home/.venv
    if holds "$1"; then return; fi
    if ! { [ -w "$home" ] && { [ ! -e "$venv" ] || [ -w "$venv" ]; }; }; then
        folder=${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/ouchi/$(printf %s "$home" | cksum | tr ' ' -)
        venv=$folder/.venv
        if holds "$1"; then return; fi
    fi
    # A shell that completes does not wait for an installation.
    if [ -n "${_OUCHI_COMPLETE-}" ]; then exit 0; fi
    lock_folder
    if ! holds "$1"; then make_environment "$1"; fi
    exec 9<&-
}

# holds LOCK: true when the environment has everything that LOCK lists, for this checkout.
holds() {
    [ -x "$venv/bin/python" ] && [ -r "$venv/.ouchi-$1" ] || return 1
    IFS= read -r mark <"$venv/.ouchi-$1" || return 1
    [ "$mark" = "$(cksum <"$home/$1") $home" ]
}

write_mark() { printf '%s %s\n' "$(cksum <"$home/$1")" "$home" >"$venv/.ouchi-$1"; }

# One launcher at a time. Descriptor 9 stays open in pip and its like: when the launcher is killed and
# they are not, the next one waits until they have ended.
lock_folder() {
    mkdir -p -- "$folder" || fail "cannot make the folder $folder"
    exec 9<"$folder"
    if flock -n 9; then return; fi
    say "another ouchi is preparing; waiting for it"
    flock 9 || say "cannot lock $folder; continuing without"
}

make_environment() {
    choose_installer
    if holds requirements.lock; then
        say "preparing for tests (about 15 s)"
    else
        if [ -s "$venv/.ouchi-requirements.lock" ]; then say "preparing again, for a newer ouchi (about 20 s)"
        else say "first use: preparing (about 20 s)"; fi
        choose_python
        clear_environment
        new_environment
    fi
    install_lock "$1"
    write_mark "$1"
    # The larger lock holds the smaller one.
    write_mark requirements.lock
}

# uv is quicker than pip, but knows nothing of pip's settings: where there are any, pip it is.
choose_installer() {
    installer=pip
    for settings in /etc/pip.conf /etc/xdg/pip/pip.conf "${HOME:-}/.pip/pip.conf" "${XDG_CONFIG_HOME:-${HOME:-}/.config}/pip/pip.conf"; do
        if [ -e "$settings" ]; then return; fi
    done
    if env | grep -Eq '^PIP_(CONFIG_FILE|INDEX_URL|EXTRA_INDEX_URL|NO_INDEX|FIND_LINKS|PROXY|CERT|CLIENT_CERT|TRUSTED_HOST)='; then return; fi
    if uv --version >/dev/null 2>&1; then installer=uv; fi
}

# Sets $python. The distribution's own is preferred: its libvirt bindings can be linked in later.
choose_python() {
    if suits /usr/bin/python3; then return; fi
    if install_python && suits /usr/bin/python3; then return; fi
    if suits python3; then return; fi
    fail "Python 3.11 or newer with venv is needed; as root run:
  apt-get update && apt-get install python3 python3-venv ca-certificates"
}

# suits PYTHON: true when it is new enough and complete; sets $python to the file behind the name, so that
# an upgrade of the distribution is noticed.
suits() {
    if [ "$installer" = uv ]; then needs=venv; else needs='venv, ensurepip'; fi
    python=$("$1" -I -c "import os, sys, $needs
if sys.version_info < (3, 11): sys.exit(1)
print(os.path.realpath(sys._base_executable))" 2>/dev/null)
}

install_python() {
    command -v apt-get >/dev/null || return 1
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || return 1
        as_root='sudo --'
    fi
    say "installing python3 and python3-venv from the distribution"
    install_packages || { apt_get update && install_packages; } || {
        printf '%s\n' "$output" | tail -n 5 >&2
        return 1
    }
}

install_packages() { apt_get install --yes --no-install-recommends python3 python3-venv ca-certificates; }

apt_get() {
    output=$($as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" 2>&1 9<&-)
}

# A folder with a mark is ours: it is emptied, the mark last. Any other folder is left alone.
clear_environment() {
    rmdir -- "$venv" 2>/dev/null || :
    if [ -e "$venv" ]; then
        [ -e "$venv/.ouchi-requirements.lock" ] || fail "$venv was not made by ouchi; move it away and try again"
        : >"$venv/.ouchi-requirements.lock"
        find "$venv" -mindepth 1 ! -name .ouchi-requirements.lock -delete
    fi
    mkdir -p -- "$venv"
    : >"$venv/.ouchi-requirements.lock"
}

new_environment() {
    case $installer in
        uv) quietly "making $venv" uv venv --quiet --no-project --allow-existing --python "$python" "$venv" ;;
        pip) quietly "making $venv" "$python" -I -m venv "$venv" ;;
    esac
    # A path file instead of an installed package: nothing to build, and a changed source is what runs.
    for packages in "$venv"/lib/python3.*/site-packages; do
        printf '%s\n' "$home/src" >"$packages/ouchi.pth"
    done
}

# Compiled here, at once and on all CPUs: root and read-only checkouts write no bytecode later.
install_lock() {
    case $installer in
        uv) quietly "installing $1" uv pip install --quiet --python "$venv/bin/python" --require-hashes -r "$home/$1" ;;
        pip)
            quietly "installing $1" "$venv/bin/python" -I -m pip install --quiet --no-input --no-user --no-compile \
                --disable-pip-version-check --no-warn-script-location --require-hashes -r "$home/$1"
            ;;
    esac
    "$venv/bin/python" -I -m compileall -q -j 0 "$venv/lib" "$home/src" >/dev/null 2>&1 || :
}

# quietly WHAT COMMAND...: the output is shown only if the command fails.
quietly() {
    what=$1
    shift
    output=$("$@" 2>&1) || {
        printf '%s\n' "$output" | tail -n 15 >&2
        fail "$what failed, for the reason above; run the same command again to retry"
    }
}

say() { printf 'ouchi: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 3
}
