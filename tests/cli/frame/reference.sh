# docs/reference.md is what the option tables say; to renew it:
#   build/release/ecgfm help --markdown > docs/reference.md
ecgfm help --markdown | diff -u "$REPOSITORY/docs/reference.md" -
