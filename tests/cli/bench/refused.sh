try() { ecgfm bench --no-products --repeat 1 "$@" || echo "exit $?"; }
try --batch 0
try --batch 3 --mode infer
try --precision f16
try --precision f32,f32
try --mode none --loader nothing
