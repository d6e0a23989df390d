package peers

import (
	"os"
	"testing"
)

// Unpacked is the folder with mail systems that cannot be installed beside Debian's
// Postfix: the packages of Exim and OpenSMTPD, unpacked by integration/test, which sets
// ALIASMX_PEERS.
func Unpacked(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("ALIASMX_PEERS")
	if dir == "" {
		t.Fatal("ALIASMX_PEERS is not set: it names the folder with Exim and OpenSMTPD, unpacked; integration/test unpacks and sets it")
	}
	return dir
}
