ecgfm list --thread 2
