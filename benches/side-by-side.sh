#!/usr/bin/env bash
# prtrace beside other readers of event logs, on one corpus, in one run: prints one table.
#
# The corpus is copies of the log folders in $PRTRACE_TEST_LOGS/real/*.zip where that is set, else
# logs made by the tests' writer. Settings, by environment:
#   SIDE_BY_SIDE_MIB    size of the corpus (4096)
#   SIDE_BY_SIDE_RUNS   runs of each fast contestant (7); the slow ones run once
#   SIDE_BY_SIDE_EVENTS how many events to take memory and CPU per event from (565000; of ten
#                       million the log takes 5 GB in $TMPDIR)
#   SIDE_BY_SIDE_PEERS  the other readers ("evtx_dump evtxexport"), of which the latter takes
#                       minutes; what they find is compared with what prtrace finds
set -euo pipefail
cd "$(dirname "$0")/.."

mib=${SIDE_BY_SIDE_MIB:-4096}
runs=${SIDE_BY_SIDE_RUNS:-7}
peers=${SIDE_BY_SIDE_PEERS-evtx_dump evtxexport}
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

install() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || { apt-get update -q && apt-get install -qy "$2"; } >&2
}

install time time
for peer in $peers; do
    case $peer in
        evtxexport) install evtxexport libevtx-utils ;;
        evtx_dump)
            [ -x "$target/peers/bin/evtx_dump" ] ||
                cargo install evtx --version 0.15.1 --locked --root "$target/peers"
            ;;
        *)
            echo "side-by-side: unknown reader $peer" >&2
            exit 2
            ;;
    esac
done
cargo build --release --locked --bin prtrace --example logs

# One corpus a size and kind; an unfinished one is made anew.
kind=crafted
[ -z "${PRTRACE_TEST_LOGS:-}" ] || kind=real
corpus=$target/side-by-side/$kind-$mib
if [ ! -e "$corpus.done" ]; then
    rm -rf "$corpus"
    mkdir -p "$corpus/1"
    if [ "$kind" = real ]; then
        install unzip unzip
        for zip in "$PRTRACE_TEST_LOGS"/real/*.zip; do
            unzip -q "$zip" '*.evtx' -d "$corpus/1"
        done
    else
        "$target/release/examples/logs" folder "$corpus/1" $((256 << 20))
    fi
    copies=1
    while [ "$(du -sm --apparent-size "$corpus" | cut -f1)" -lt "$mib" ]; do
        copies=$((copies + 1))
        cp -r "$corpus/1" "$corpus/$copies"
    done
    touch "$corpus.done"
fi

# shellcheck disable=SC2086 # several arguments
PATH=$target/peers/bin:$PATH python3 benches/side-by-side.py "$corpus" "$runs" "$target/release" $peers
