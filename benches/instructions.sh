#!/usr/bin/env bash
# Instructions a byte of the hot stages, counted by callgrind: hardly any noise, unlike times.
#
# Compares with instructions.txt: with the compiler it was recorded with, a count that is more than
# 3 % off is a failure (one that is lower, too: record it). `--record` writes the file anew.
set -euo pipefail
cd "$(dirname "$0")/.."

recorded=benches/instructions.txt
compiler=$(rustc --version)
binary=$(cargo bench --locked --bench instructions --no-run --message-format=json |
    sed -n 's|.*"executable":"\([^"]*/instructions-[^"]*\)".*|\1|p')

count() { # STAGE TIMES
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" "$1" "$2" 2>&1 >/dev/null |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

measure() {
    echo "# Instructions a byte; benches/instructions.sh --record writes this."
    echo "$compiler"
    # Of 2N and N times, the difference is N times without what comes before.
    while read -r stage times; do
        bytes=$("$binary" "$stage" 1)
        few=$(count "$stage" "$times")
        many=$(count "$stage" $((times * 2)))
        echo "$stage $few $many $((times * bytes))" |
            awk '{ printf "%s %.4f\n", $1, ($3 - $2) / $4 }'
    done <<'STAGES'
select 3000
decode 40
STAGES
}

if [ "${1:-}" = --record ]; then
    measure >"$recorded.new"
    mv "$recorded.new" "$recorded"
    cat "$recorded"
    exit
fi

measure | awk -v recorded="$recorded" '
    BEGIN {
        while ((getline line <recorded) > 0) {
            if (line ~ /^rustc /) compiler = line
            else if (split(line, part, " ") == 2) before[part[1]] = part[2]
        }
    }
    /^rustc / { same = $0 == compiler; print $0 (same ? "" : "; recorded with " compiler) }
    /^[a-z]+ [0-9.]+$/ {
        change = before[$1] > 0 ? $2 / before[$1] - 1 : 1
        off = change > 0.03 || change < -0.03
        print $1 ": " $2 " instructions a byte, recorded " before[$1] (off ? ": OFF" : "")
        failed = failed || off && same
        stages++
    }
    END { exit failed || stages < 2 }'
