ecgfm
