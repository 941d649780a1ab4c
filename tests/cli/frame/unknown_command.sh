ecgfm inferr x
