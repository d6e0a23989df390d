// Package shaping reads what the hosts of others bear: the lines of smtp_shaping_maps and
// smtp_shaping_defaults, and which of them holds for a destination.
//
// A line is a list of name=value, separated by blanks or commas:
//
//	concurrency=20 initial=5 delay=1s rate=100/1m host_connections=10
//	slow=4.7.28 slow="too many" site=google defaults
//
//	concurrency       connections to the site at a time
//	initial           connections to begin with
//	delay             pause after each delivery, over one connection: 1s, 500ms, 1m30s
//	rate              deliveries that begin in any such time: 100/1m, 10/s
//	host_connections  connections to one address at a time
//	slow              a reply that asks for less: an enhanced status code, the beginning of
//	                  one up to a dot, or words; may be there several times
//	site              a name for a group: all whose hosts are of it are one site
//	defaults          what the line does not say, smtp_shaping_defaults says
//
// A value with blanks or commas in it stands in quotes, "..." or '...'. Times are those of
// postconf(5), and ms beside; a number without a unit is seconds.
//
// Lines are looked up by the destination's domain; then for each of its hosts, best first,
// by the host's name and by the domains above it, with a dot in front: ".example.com". One
// table is asked for all of these before the next. The first line found holds, alone. Only
// the name of a group is not for everybody who has one host of it: all must be of it, as
// somebody's own server may have a provider's behind it.
//
// The package opens no tables and limits nothing itself: it answers with a Line.
package shaping
