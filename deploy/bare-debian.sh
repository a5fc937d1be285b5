#!/usr/bin/env bash
# Shows that the project's commands work in a bare Debian 12: a root made by debootstrap with nothing added to the
# smallest variant but python3, python3-venv (which brings ca-certificates) and make. Everything is done twice, as root
# and as an ordinary user, in a folder with a space in its path. No container engine is needed; root is.
#
#     deploy/bare-debian.sh [run|quick|test|all] [DIR]
#
#   run    `make run` until it is ready, a gift through `groundswell demo`, Ctrl-C, nothing may be left; then again
#   quick  `make quick`        test  `make test`        all  one after the other
#   DIR    where the root is made; without it a fresh folder, removed at the end
#
# Environment: KEEP=1      leave the root there (mounts are undone and processes ended all the same)
#              WORKTREE=1  take the files as they lie there instead of `git archive HEAD`
#              MIRROR=URL  the Debian mirror, when this machine's apt has none for Debian 12
#              CACHE=FILE  the bare root as a tar, made the first time; remove it to have it made anew
#
# What pip needs on this machine it gets inside: pip.conf, folders and files that it or PIP_* name (read-only),
# certificates, name resolution, proxies. A root in a chroot may make no user namespace, so this also exercises how
# `groundswell up` runs Postgres for a root who cannot have one.
set -euo pipefail
umask 022

SUITE=bookworm PACKAGES=python3,python3-venv,make PORT=8000
READY_SECONDS=300 END_SECONDS=5 DEMO_SECONDS=60

die() { echo "bare-debian: $*" >&2; exit 2; }
mode=${1:-run}
[[ $mode =~ ^(run|quick|test|all)$ ]] || die "usage: $0 [run|quick|test|all] [DIR]"
[[ $(id -u) == 0 ]] || die "needs root: debootstrap and chroot do"
for tool in debootstrap git; do [[ $(type -P $tool) ]] || die "$tool is missing: apt-get install $tool"; done

# In a mount namespace of our own: whatever happens to this script, no mount outlives it.
[[ ${BARE_DEBIAN_INSIDE:-} ]] || BARE_DEBIAN_INSIDE=1 exec unshare --mount --propagation private -- "$BASH" "$0" "$@"

repository=$(cd "$(dirname "$0")/.." && pwd -P)
named=${2:-}
dir=$(realpath -m "${named:-$(mktemp -d -p "${TMPDIR:-/var/tmp}" bare-debian.XXXXXX)}")
root=$dir/root
cache=${CACHE:-/var/cache/groundswell/$SUITE-$(dpkg --print-architecture)-${PACKAGES//,/-}.tar}
[[ ! -e $root ]] || die "$root is there already: remove it or name another folder"
failed=0

none_left() {  # whether no process has our root for its own; else `left` has their numbers
    local link
    left=()
    for link in /proc/[0-9]*/root; do
        [[ ! $link -ef $root ]] || left+=("${link:6:-5}")
    done
    [[ ${#left[@]} == 0 ]]
}

end_processes() {
    for _ in {1..50}; do
        none_left && return 0
        kill -KILL "${left[@]}" 2>/dev/null || true
        sleep 0.1
    done
}

cleanup() {
    local at
    set +e
    trap '' INT TERM HUP
    end_processes
    tac /proc/self/mounts | cut -d' ' -f2 | while read -r at; do
        at=$(printf '%b' "$at")  # a space stands there as \040
        [[ $at != "$root"/* ]] || umount "$at" || umount --lazy "$at"
    done
    rm -f "$cache.$$"
    if [[ ${KEEP:-} ]]; then echo "kept: $dir"; return 0; fi
    rm -rf --one-file-system "$root" "$dir"/{root,pat,demo,debootstrap}.log
    [[ $named ]] || rmdir "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

report() {  # 0|other, what
    if [[ $1 == 0 ]]; then echo "PASS  $2"; else echo "FAIL  $2"; failed=1; fi
}
now() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
since() { local ms=$(($(now) - $1)); echo "$((ms / 1000)).$((ms / 100 % 10)) s"; }
within() {  # seconds, command...: whether it succeeds within that time
    local until=$(($(now) + $1 * 1000)); shift
    until "$@"; do [[ $(now) -lt $until ]] || return 1; sleep 0.1; done
}

make_root() {
    local mirror=${MIRROR:-} proxy=
    mkdir -p "$root" "$(dirname "$cache")"
    if [[ ! -f $cache ]]; then
        [[ $mirror ]] || mirror=$(
            apt-get indextargets --format '$(RELEASE)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
                awk -F'|' -v suite=$SUITE '($1 == suite || $2 == suite) && $3 == "main" {print $4}' | head -n 1
        ) || true
        [[ $mirror ]] || die "apt knows no mirror of Debian 12 ($SUITE): run apt-get update, or name one in MIRROR"
        eval "$(apt-config shell proxy Acquire::http::Proxy)"  # debootstrap does not read apt's
        http_proxy=${http_proxy:-$proxy} debootstrap --variant=minbase --include="$PACKAGES" $SUITE "$root" "$mirror" \
            >"$dir/debootstrap.log" || { tail -n 20 "$dir/debootstrap.log"; die "debootstrap failed"; }
        tar -C "$root" --one-file-system --numeric-owner --exclude='./var/cache/apt/archives/*.deb' -cf "$cache.$$" .
        mv "$cache.$$" "$cache"
    else
        tar -C "$root" --numeric-owner -xpf "$cache"
    fi
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    chroot "$root" useradd --create-home --shell /bin/sh pat
}

lend() {  # a file or folder of this machine, at the same place inside, read-only
    [[ -e $1 && ! $1 =~ ^/(dev(/.*)?|etc/ssl/certs)?$ ]] || return 0
    if [[ -d $1 ]]; then
        mountpoint -q "$root$1" && return
        mkdir -p "$root$1"
        mount --bind "$1" "$root$1"
        mount -o remount,bind,ro "$root$1"
    else
        install -D -m 644 "$1" "$root$1"
    fi
}

lend_pip() {
    local conf path user
    mapfile -d '' -t passed < <(env -0 | grep -zE '^(PIP_|SSL_|REQUESTS_CA_BUNDLE=)|^[^=]*_(proxy|PROXY)=' |
        grep -zvE '^PIP_(CACHE_DIR|LOG|TARGET|PREFIX|USER)=')
    local confs=(/etc/pip.conf /etc/xdg/pip/pip.conf "${PIP_CONFIG_FILE:-/etc/pip.conf}")
    for path in /etc/ssl/certs/ca-certificates.crt "${confs[@]}"; do lend "$path"; done
    for conf in .pip/pip.conf .config/pip/pip.conf; do
        [[ -f $HOME/$conf ]] || continue
        for user in root home/pat; do install -D -m 600 "$HOME/$conf" "$root/$user/$conf"; done
        confs+=("$HOME/$conf")
    done
    # Every absolute path that is named anywhere there; of an index (.../simple) the folder with the files beside it.
    while read -r path; do
        [[ $path != */simple ]] || path=${path%/simple}
        lend "$path"
    done < <({ cat -- "${confs[@]}" 2>/dev/null || true; printf '%s\n' "${passed[@]}"; } | tr -s "= ,'\"\t" '\n' |
        sed -n -e 's,^file://\(localhost\)\{0\,1\},,' -e 's,/*$,,' -e '/^\//p' | sort -u)
}

copy_project() {  # user, place
    mkdir -p "$root$2"
    if [[ ${WORKTREE:-} ]]; then
        git -c safe.directory='*' -C "$repository" ls-files -co --exclude-standard -z |
            tar -C "$repository" --null --ignore-failed-read -T - -c
    else
        git -c safe.directory='*' -C "$repository" archive HEAD
    fi | tar -C "$root$2" --no-same-owner -x
    [[ $1 == root ]] || chroot "$root" chown -R "$1:" "/home/$1"
}

inside() {  # user, place, command...: becomes that command, there, in a session and an environment of its own
    local user=$1 place=$2 home=/root; shift 2
    [[ $user == root ]] || home=/home/$user
    exec setsid chroot "$root" env -i --default-signal=INT HOME="$home" USER="$user" LANG=C.UTF-8 "${passed[@]}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin setpriv --reuid="$user" --regid="$user" \
        --init-groups -- sh -c 'cd "$1" && shift && exec "$@"' sh "$place" "$@"
}
port_free() { ! (: <>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }
said_ready() { grep -q 'Groundswell is ready' "$log"; }
ready_or_gone() { said_ready || ! kill -0 "$started" 2>/dev/null; }

start_and_end() {  # user, place, "demo" or "", command...
    local user=$1 place=$2 demo=$3 what="$1: ${*:4}" begun log=$dir/$1.log started status; shift 3
    within 60 port_free || { report 1 "$what: port $PORT is in use on this machine"; return; }
    begun=$(now)
    : >"$log"
    inside "$user" "$place" "$@" </dev/null >"$log" 2>&1 &
    started=$!
    disown
    if ! within $READY_SECONDS ready_or_gone || ! said_ready; then
        report 1 "$what: not ready after $(since "$begun")"
        sed 's/^/      | /' "$log" | tail -n 40
        end_processes
        return
    fi
    report 0 "$what: ready after $(since "$begun")"
    if [[ $demo ]]; then
        inside "$user" "$place" timeout $DEMO_SECONDS .venv/bin/groundswell demo </dev/null >"$dir/demo.log" 2>&1 &
        wait $! && status=0 || status=1
        sed 's/^/      /' "$dir/demo.log"
        report $status "$user: groundswell demo"
    fi
    sync -f "$root"  # the installation's files: ending is timed without the disk still writing those
    begun=$(now)
    kill -INT -- "-$started"  # to the whole group, as a terminal does
    if within $END_SECONDS none_left; then
        report 0 "$what: ended $(since "$begun") after Ctrl-C, nothing left"
    else
        report 1 "$what: still there $END_SECONDS s after Ctrl-C:"
        ps -o pid=,uid=,stat=,args= -p "${left[*]}" | sed 's/^/      /'
        sed 's/^/      | /' "$log" | tail -n 20
        end_processes
    fi
}

make_target() {  # user, place, target
    local begun log=$dir/$1.log status; begun=$(now)
    inside "$1" "$2" make "$3" </dev/null >"$log" 2>&1 &
    wait $! && status=0 || status=1  # a trap interrupts `wait`, but no command in the foreground
    report $status "$1: make $3: $(since "$begun")"
    sed 's/^/      | /' "$log" | tail -n $((status ? 80 : 3))
    none_left || { report 1 "$1: make $3 left processes behind"; end_processes; }
}

begun=$(now)
make_root
lend_pip
echo "A bare Debian $(cat "$root/etc/debian_version"), made in $(since "$begun"): $root"
for user in root pat; do
    place="/srv/a path/groundswell"
    [[ $user == root ]] || place="/home/$user/a path/groundswell"
    copy_project "$user" "$place"
    if [[ $mode == run || $mode == all ]]; then
        start_and_end "$user" "$place" demo make run
        start_and_end "$user" "$place" "" .venv/bin/groundswell up --demo
    fi
    for target in quick test; do
        [[ $mode != "$target" && $mode != all ]] || make_target "$user" "$place" "$target"
    done
done
exit $failed
