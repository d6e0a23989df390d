package postconf

// paramsAliasLife are about what aliases have beside their entries.
var paramsAliasLife = []entry{
	{"alias_attribute_maps", list(), "", "tables of the attributes of aliases: expires, senders, suspended, rate"},
	{"reverse_alias_secrets_file", text(), "", "file of the secrets that sign reverse aliases, one a line, the first signs; empty: there are none"},
	{"reverse_alias_field", text(), "X-Reply-Alias", "field on top of forwarded mail that holds the reverse alias; empty: none; Reply-To breaks signatures that cover it"},
}
