ecgfm --version
