ecgfm list --json commands | grep -q '"name": "help"'
 ecgfm list nothing
