package postconf

// paramsReverseAlias let the owner of an alias answer in its name.
var paramsReverseAlias = []entry{
	{"reverse_alias_secrets_file", text(), "", "file of the secrets that sign reverse aliases, one a line, the first signs; empty: there are none"},
	{"reverse_alias_field", text(), "X-Reply-Alias", "field on top of forwarded mail that holds the reverse alias; empty: none; Reply-To breaks signatures that cover it"},
}
