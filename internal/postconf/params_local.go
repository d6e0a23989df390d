package postconf

// paramsLocal are about mail for local names: aliases(5) and local(8).
var paramsLocal = []entry{
	{"alias_maps", list(), "hash:/etc/aliases", "tables of what local names lead to, aliases(5)"},
	{"alias_database", list(), "hash:/etc/aliases", "tables that newaliases builds"},
	{"allow_mail_to_commands", set("alias", "forward", "include"), "alias, forward", "where |command may stand"},
	{"allow_mail_to_files", set("alias", "forward", "include"), "alias, forward", "where /file/name may stand"},
	{"command_execution_directory", text(), "", "where commands of aliases start; empty: the queue directory"},
	{"command_expansion_filter", notEmpty(), "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
		"characters that commands of aliases get to see of addresses"},
	{"command_time_limit", seconds(1, 0), "1000s", "how long a command of an alias may run"},
	{"default_privs", notEmpty(), "nobody", "account that commands and files of root's aliases are served as"},
	{"deliver_lock_attempts", number(1, 0), "20", "how often to try for the lock of a file"},
	{"deliver_lock_delay", seconds(1, 0), "1s", "pause between tries for the lock of a file"},
	{"expand_owner_alias", yesno(), "no", "a list is sent on by what owner-list leads to, not by owner-list"},
	{"export_environment", list(), "TZ MAIL_CONFIG LANG", "environment that commands of aliases get"},
	{"frozen_delivered_to", yesno(), "yes", "Delivered-To names the recipient, not an alias within its aliases"},
	{"local_command_shell", text(), "", "program that runs commands of aliases; empty: none, or sh where one is needed"},
	{"local_destination_concurrency_limit", number(0, 0), "2", "deliveries to one local name at a time"},
	{"mailbox_delivery_lock", set("fcntl", "flock", "dotlock"), "fcntl, dotlock", "how files are locked that mail is appended to"},
	{"mailbox_size_limit", number(0, 0), "51200000", "how large such a file may become, in bytes; 0: no limit"},
	{"prepend_delivered_header", set("command", "file", "forward"), "command, file, forward", "deliveries that add Delivered-To"},
	{"reset_owner_alias", yesno(), "no", "an alias in a list that has no owner is none of the list's"},
	{"stale_lock_time", seconds(1, 0), "500s", "age at which the lock of a file is broken"},
}
