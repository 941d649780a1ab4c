ecgfm help
