package table

import "testing"

func TestWholeKeys(t *testing.T) {
	for name, want := range map[string]bool{
		"hash:/etc/virtual": false, "texthash:/x": false, "inline:{a=b}": false, "static:x": false, "lmdb:/x": false, "sql:/x": false,
		"regexp:/x": true, "pcre:/x": true, "cidr:/x": true, "tcp:host:1": true, "socketmap:unix:/x:y": true, "fail:x": true,
		"proxy:hash:/x": false, "proxy:regexp:/x": true,
		"unionmap:{hash:/x, texthash:/y}": false, "unionmap:{hash:/x, regexp:/y}": true, "pipemap:{inline:{a=b}, pcre:/y}": true,
	} {
		if got := WholeKeys(name); got != want {
			t.Errorf("WholeKeys(%q) = %v", name, got)
		}
	}
}
