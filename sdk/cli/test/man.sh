#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: man pages, help and completion have the same verbs, options and exit statuses.
. "$(dirname "$0")/common.sh"
man=$here/../../docs/man
verbs=$("$landfall" --help | sed -n '/^verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(wc -w <<<"$verbs")" -ge 8 ] || fail "no verbs in the help"
for verb in $verbs; do
  page=$man/landfall-$verb.1.scd
  [ -f "$page" ] || fail "no man page of $verb"
  diff <("$landfall" help "$verb" | sed -n 's/^  --\([a-z-]*\).*/\1/p' | sort) \
    <(sed -n 's/^\*--\([a-z-]*\)\*.*/\1/p' "$page" | sort) >options.out ||
    fail "options of $verb: help < > man page"
  grep -q "^\*$verb\*\$" "$man/landfall.1.scd" || fail "landfall.1 does not name $verb"
done
for page in "$man"/landfall-*.1.scd; do
  verb=$(basename "$page" .1.scd)
  grep -qx "${verb#landfall-}" <<<"$verbs" || fail "$page is of no verb"
done
diff <("$landfall" --help | sed -n '/^exit status:/,/^$/s/^  \([0-9]*\)  *\(.*\)/\1 \2/p') \
  <(awk '/^# EXIT STATUS/ { on = 1; next } /^#/ { on = 0 }
    on && /^\*[0-9]+\*$/ { gsub(/\*/, ""); code = $0 }
    on && /^\t/ { sub(/^\t/, ""); print code, $0 }' "$man/landfall.1.scd") >exits.out ||
  fail "exit statuses: help < > man page"
# The bash script is good bash, and completes a verb's option.
"$landfall" completion bash >completion.bash
bash -n completion.bash
reply=$(bash -c '. ./completion.bash; COMP_WORDS=(landfall recv --lis); COMP_CWORD=2; _landfall; echo "${COMPREPLY[*]}"')
[ "$reply" = --listen ] || fail "bash completes to '$reply'"
for function in $(sed -n 's/.*\*\(landfall_[a-z_]*\)\*.*/\1/p' "$man/landfall.h.3.scd"); do
  grep -rq "\b$function\b" "$here/../../include/landfall/c" ||
    fail "landfall.h.3 names $function, which is not there"
done
echo ok
