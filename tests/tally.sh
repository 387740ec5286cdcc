#!/bin/bash
# tally.sh SKIPPED_STEPS COMMAND... : runs COMMAND (a `cargo test`), shows its output as it comes, and closes with one
# line of totals over all its test binaries. Ends with COMMAND's own status; a run without one finished test fails.
#
# A test that cannot run here (no /dev/fuse, no swtpm) writes a line
#     SKIPPED: <test>: <reason>
# to std::io::stderr() itself, which the test harness does not capture as it does eprintln!, and returns. The harness
# counts it as passed; it is moved to "skipped" here. Steps of the Makefile that were skipped are listed from the file
# SKIPPED_STEPS, if there is one.
set -euo pipefail
steps=$1
shift
log=${CARGO_TARGET_DIR:-target}/test-output.txt
mkdir -p "$(dirname "$log")"

status=0
"$@" 2>&1 | tee "$log" || status=${PIPESTATUS[0]}

echo
grep -oE '^.*\bFAILED$' "$log" | grep -oE 'test .* FAILED$' | sort -u || true
# Another test's line may have been half written when this one was: take it from wherever it stands.
skips=$(grep -oE 'SKIPPED: [^:]+.*' "$log" | sort -u || true)
[ -z "$skips" ] || printf '%s\n' "$skips"
[ ! -s "$steps" ] || cat "$steps"

awk -v status="$status" -v skipped="$(grep -c . <<<"$skips" || true)" -v steps="$(grep -cs . "$steps" || true)" '
  /^test result: / {
    binaries++
    for (i = 1; i < NF; i++) {
      if ($(i + 1) == "passed;") passed += $i
      if ($(i + 1) == "failed;") failed += $i
      if ($(i + 1) == "ignored;") ignored += $i
    }
  }
  END {
    if (status != 0 && failed == 0) {
      print "the run failed outside any finished test: a build, or a test binary that died"
      failed = 1
    }
    if (passed + failed == 0) print "no test finished"
    if (steps > 0) printf "%d step(s) of the run SKIPPED, see above\n", steps
    printf "%d passed, %d failed, %d ignored, %d skipped (in %d test binaries)\n",
      passed - skipped, failed, ignored, skipped, binaries
    # No finished test at all is no success, whatever the command said.
    exit passed + failed == 0
  }' "$log" || { [ "$status" != 0 ] || status=1; }
exit "$status"
