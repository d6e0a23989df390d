package postconf

// unsupportedScreen are parameters of postscreen(8) that we do not have.
var unsupportedScreen = []plain{
	{"postscreen_command_filter", ""},
	{"postscreen_discard_ehlo_keyword_address_maps", "$smtpd_discard_ehlo_keyword_address_maps"},
	{"postscreen_expansion_filter", "$smtpd_expansion_filter"},
}
