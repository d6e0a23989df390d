package postconf

// paramsAliasLife are about what aliases have beside their entries.
var paramsAliasLife = []entry{
	{"alias_attribute_maps", list(), "", "tables of the attributes of aliases: expires, senders, suspended, rate"},
}
