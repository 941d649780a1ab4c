mkdir empty
ecgfm inspect empty
