ecgfm list --threads 2000
