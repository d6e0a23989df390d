package milter

// The protocol's codes (libmilter's mfdef.h). Names for warnings are those of Postfix.

// Events and other commands to a milter.
const (
	cmdAbort    = 'A'
	cmdBody     = 'B'
	cmdConnect  = 'C'
	cmdMacro    = 'D'
	cmdEnd      = 'E' // of the message
	cmdHelo     = 'H'
	cmdHeader   = 'L'
	cmdMail     = 'M'
	cmdEOH      = 'N'
	cmdOptions  = 'O'
	cmdQuit     = 'Q'
	cmdRcpt     = 'R'
	cmdData     = 'T'
	cmdUnknown  = 'U'
	familyInet  = '4'
	familyInet6 = '6'
	familyNone  = 'U'
)

var commandNames = map[byte]string{
	cmdAbort: "SMFIC_ABORT", cmdBody: "SMFIC_BODY", cmdConnect: "SMFIC_CONNECT", cmdMacro: "SMFIC_MACRO",
	cmdEnd: "SMFIC_BODYEOB", cmdHelo: "SMFIC_HELO", cmdHeader: "SMFIC_HEADER", cmdMail: "SMFIC_MAIL",
	cmdEOH: "SMFIC_EOH", cmdOptions: "SMFIC_OPTNEG", cmdQuit: "SMFIC_QUIT", cmdRcpt: "SMFIC_RCPT",
	cmdData: "SMFIC_DATA", cmdUnknown: "SMFIC_UNKNOWN",
}

// Replies of a milter.
const (
	replyAddRcpt      = '+'
	replyDelRcpt      = '-'
	replyAddRcptPar   = '2'
	replyShutdown     = '4'
	replyAccept       = 'a'
	replyBody         = 'b'
	replyContinue     = 'c'
	replyDiscard      = 'd'
	replyChangeFrom   = 'e'
	replyConnFail     = 'f'
	replyAddHeader    = 'h'
	replyInsertHeader = 'i'
	replySymbols      = 'l'
	replyChangeHeader = 'm'
	replyProgress     = 'p'
	replyQuarantine   = 'q'
	replyReject       = 'r'
	replySkip         = 's'
	replyTempfail     = 't'
	replyCode         = 'y'
)

var replyNames = map[byte]string{
	replyAddRcpt: "SMFIR_ADDRCPT", replyDelRcpt: "SMFIR_DELRCPT", replyAddRcptPar: "SMFIR_ADDRCPT_PAR",
	replyShutdown: "SMFIR_SHUTDOWN", replyAccept: "SMFIR_ACCEPT", replyBody: "SMFIR_REPLBODY",
	replyContinue: "SMFIR_CONTINUE", replyDiscard: "SMFIR_DISCARD", replyChangeFrom: "SMFIR_CHGFROM",
	replyConnFail: "SMFIR_CONN_FAIL", replyAddHeader: "SMFIR_ADDHEADER", replyInsertHeader: "SMFIR_INSHEADER",
	replySymbols: "SMFIR_SETSYMLIST", replyChangeHeader: "SMFIR_CHGHEADER", replyProgress: "SMFIR_PROGRESS",
	replyQuarantine: "SMFIR_QUARANTINE", replyReject: "SMFIR_REJECT", replySkip: "SMFIR_SKIP",
	replyTempfail: "SMFIR_TEMPFAIL", replyCode: "SMFIR_REPLYCODE",
}

// nameOf is the name of a code, or what Postfix calls one that has none.
func nameOf(names map[byte]string, code byte, none string) string {
	if name, ok := names[code]; ok {
		return name
	}
	return none
}

// Events that a milter does not want, replies that it will not send, and the rest that is
// agreed on (SMFIP_*).
const (
	noConnect = 1 << iota
	noHelo
	noMail
	noRcpt
	noBody
	noHeaders
	noEOH
	quietHeader // it will not reply to a header field
	noUnknown
	noData
	maySkip
	wantRefusedRcpts
	quietConnect
	quietHelo
	quietMail
	quietRcpt
	quietData
	quietUnknown
	quietEOH
	quietBody
	leadingSpace // the space after the colon belongs to the value

	noEvents = noConnect | noHelo | noMail | noRcpt | noBody | noHeaders | noEOH | noUnknown | noData

	protocol2 = noConnect | noHelo | noMail | noRcpt | noBody | noHeaders | noEOH
	protocol3 = protocol2 | noUnknown
	protocol4 = protocol3 | noData
	protocol6 = protocol4 | maySkip | wantRefusedRcpts | quietConnect | quietHelo | quietMail | quietRcpt |
		quietData | quietUnknown | quietHeader | quietEOH | quietBody | leadingSpace
)

// allActions are the modifications that we carry out (SMFIF_*): add and change fields,
// replace the body, add and delete recipients, quarantine, change the sender, recipients
// with parameters, lists of macros.
const allActions = 1<<9 - 1

// stages in which a milter can ask for macros of its own choice (SMFIM_*).
const (
	macrosConnect = iota
	macrosHelo
	macrosMail
	macrosRcpt
	macrosData
	macrosEndOfData
	macrosEndOfHeader
	numMacroLists
)
