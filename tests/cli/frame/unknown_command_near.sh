ecgfm lsit
