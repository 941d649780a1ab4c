ecgfm list --set sead=2
