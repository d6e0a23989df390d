package table

import "testing"

func TestLocal(t *testing.T) {
	for name, want := range map[string]bool{
		"hash:/etc/x": true, "static:OK": true, "inline:{a=b}": true, "cidr:{ {0.0.0.0/0 OK} }": true, "proxy:lmdb:/x": true,
		"mysql:/etc/x": false, "ldap:/etc/x": false, "socketmap:inet:a:1:b": false, "tcp:a:1": false, "proxy:mysql:/x": false,
		"randmap:{OK,DUNNO}": false, "unionmap:{static:a,inline:{b=c}}": true, "unionmap:{static:a,tcp:b:1}": false,
		"pipemap:{hash:/x, pipemap:{static:a, ldap:/y}}": false,
	} {
		if got := Local(name); got != want {
			t.Errorf("Local(%s) = %v", name, got)
		}
	}
}
