# Flags, --set and --config are the same options; unknown keys and bad JSON are refused by name.
echo '{"json": true}' >good.json
ecgfm list commands --config good.json | grep -q '"commands"'
ecgfm list commands --config good.json --set json=false | grep -q '^commands:'
ecgfm list commands --config good.json --set json=false --json | grep -q '"commands"'
ecgfm list commands --config=good.json --no-json | grep -q '^commands:'
echo '{"jsn": true}' >unknown.json
echo '{"json": tru}' >broken.json
for file in unknown.json broken.json none.json; do
    status=0
    ecgfm list --config $file || status=$?
    [ $status = 2 ]
done
