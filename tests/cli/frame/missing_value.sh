ecgfm list --threads
