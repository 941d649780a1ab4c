#!/bin/bash
# scripts/ref_ecgfm.py and ref_backbones.py with a Python that has PyTorch: run.sh verify|check ECGFM. Where
# there is none, 77.
set -euo pipefail
mode=$1 ecgfm=$2
for python in ${PYTHON:-} python3 /usr/bin/python3; do
    "$python" -c 'import torch' 2>/dev/null || continue
    case $mode in
    verify)
        "$python" scripts/ref_backbones.py --threads 1 verify
        exec "$python" scripts/ref_ecgfm.py --threads 1 verify
        ;;
    check) exec "$python" scripts/ref_ecgfm.py --threads 1 check --ecgfm "$ecgfm" --size small ;;
    esac
done
echo "skipped: no Python here has PyTorch; apt-get install python3-torch" >&2
exit 77
