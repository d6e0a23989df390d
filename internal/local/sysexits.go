package local

import "aliasmx/internal/mail"

// sysExit is what a status of sysexits(3) means to mail: sys_exits_detail(3).
type sysExit struct {
	code mail.Enhanced
	text string
}

const (
	exUsage    = 64
	exTempFail = 75
)

// sysExits are the statuses from exUsage on.
var sysExits = [...]sysExit{
	{mail.Enhanced{5, 3, 0}, "command line usage error"},
	{mail.Enhanced{5, 6, 0}, "data format error"},
	{mail.Enhanced{5, 3, 0}, "cannot open input"},
	{mail.Enhanced{5, 1, 1}, "user unknown"},
	{mail.Enhanced{5, 1, 2}, "host name unknown"},
	{mail.Enhanced{5, 3, 0}, "service unavailable"},
	{mail.Enhanced{5, 3, 0}, "internal software error"},
	{mail.Enhanced{4, 3, 0}, "system resource problem"},
	{mail.Enhanced{5, 3, 0}, "critical OS file missing"},
	{mail.Enhanced{5, 2, 0}, "can't create user output file"},
	{mail.Enhanced{5, 3, 0}, "input/output error"},
	{mail.Enhanced{4, 3, 0}, "temporary failure"},
	{mail.Enhanced{5, 5, 0}, "remote error in protocol"},
	{mail.Enhanced{5, 7, 0}, "permission denied"},
	{mail.Enhanced{5, 3, 5}, "local configuration error"},
}

// sysExitOf is the meaning of a status, if it has one.
func sysExitOf(status int) (sysExit, bool) {
	if status < exUsage || status >= exUsage+len(sysExits) {
		return sysExit{}, false
	}
	return sysExits[status-exUsage], true
}

// splitDSN reads the beginning of a command's output as "D.S.N text", by which a command
// can say itself what its failure means (dsn_valid(3)).
func splitDSN(output string) (code mail.Enhanced, text string, ok bool) {
	rest := output
	for i := range code {
		n := 0
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			code[i] = code[i]*10 + uint16(rest[n]-'0')
			n++
		}
		if n == 0 || n > 3 || i == 0 && (n != 1 || code[0] != 2 && code[0] != 4 && code[0] != 5) {
			return mail.Enhanced{}, "", false
		}
		rest = rest[n:]
		if i < 2 {
			if rest == "" || rest[0] != '.' {
				return mail.Enhanced{}, "", false
			}
			rest = rest[1:]
		}
	}
	if rest != "" && rest[0] != ' ' {
		return mail.Enhanced{}, "", false
	}
	for rest != "" && rest[0] == ' ' {
		rest = rest[1:]
	}
	return code, rest, true
}
