package table

import (
	"encoding/binary"
	"io"
)

// foreignKind tells which library made an index that is not ours, or "" for a file
// that no version of Postfix would have made. Both libraries write numbers in the
// byte order of the machine, and the file may come from another one.
func foreignKind(file string) string {
	f, err := openFile(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 20)
	if _, err := io.ReadFull(f, head); err != nil {
		return ""
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(head[12:]) {
		case 0x00061561, 0x00053162: // magic of hash and of btree, on the metadata page
			return "Berkeley DB"
		}
		if order.Uint32(head[16:]) == 0xbeefc0de {
			return "LMDB"
		}
	}
	return ""
}
