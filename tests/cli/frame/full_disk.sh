# Data that did not arrive is a failure.
[ -c /dev/full ] || exit 77
status=0
ecgfm help >/dev/full || status=$?
[ $status = 1 ]
ecgfm help >&- 2>/dev/null || status=$?
