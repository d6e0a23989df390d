package postconf

import (
	"slices"
	"strings"
)

// paramsChecks are about what the content of a message decides, and about filters.
var paramsChecks = []entry{
	{"header_checks", list(), "", "tables of what to do with header fields, header_checks(5)"},
	{"mime_header_checks", list(), "$header_checks", "the same for MIME fields, and for headers of parts of a message"},
	{"nested_header_checks", list(), "$header_checks", "the same for headers of messages within a message"},
	{"body_checks", list(), "", "tables of what to do with lines of the body, body_checks(5)"},
	{"smtp_header_checks", list(), "", "tables that log or change header fields of what leaves by SMTP"},
	{"smtp_mime_header_checks", list(), "", "the same for MIME fields, and for headers of parts of a message"},
	{"smtp_nested_header_checks", list(), "", "the same for headers of messages within a message"},
	{"smtp_body_checks", list(), "", "the same for lines of the body"},
	{"lmtp_header_checks", list(), "", "tables that log or change header fields of what leaves by LMTP"},
	{"lmtp_mime_header_checks", list(), "", "the same for MIME fields, and for headers of parts of a message"},
	{"lmtp_nested_header_checks", list(), "", "the same for headers of messages within a message"},
	{"lmtp_body_checks", list(), "", "the same for lines of the body"},
	{"body_checks_size_limit", number(0, 0), "51200", "bytes of each part of a body that body_checks looks at; 0: all"},
	{"mime_nesting_limit", number(1, 0), "100", "parts within parts that a message may have"},
	{"mime_boundary_length_limit", number(1, 0), "2048", "bytes of a MIME boundary that count"},
	{"disable_mime_input_processing", yesno(), "no", "take all that follows the header of a message for its body"},
	{"content_filter", text(), "", "transport:nexthop that mail goes through first"},
	{"default_filter_nexthop", text(), "", "next hop of a filter that names none; empty: the domain of the recipient"},
	{"receive_override_options", set("no_unknown_recipient_checks", "no_address_mappings", "no_header_body_checks", "no_milters"),
		"", "what not to do with mail as it comes in"},
	{"cleanup_service_name", notEmpty(), "cleanup", "service of master.cf whose -o say what the content of a message decides"},
}

// cleanupParams are those of them that are read by cleanup(8): a -o of a service that runs
// it holds for the mail that comes by way of that service, and a -o of any other is without
// effect.
var cleanupParams = []string{
	"header_checks", "mime_header_checks", "nested_header_checks", "body_checks", "body_checks_size_limit",
	"mime_nesting_limit", "mime_boundary_length_limit", "disable_mime_input_processing",
}

// isSendingChecks tells the parameters that change what is sent. Postfix has them for each
// transport, we have one for all.
func isSendingChecks(name string) bool {
	return strings.HasSuffix(name, "_checks") && (strings.HasPrefix(name, "smtp_") || strings.HasPrefix(name, "lmtp_"))
}

// pickupParams are those that pickup(8) reads.
var pickupParams = []string{"content_filter", "receive_override_options", "cleanup_service_name"}

// readBy tells whether a -o of the service has an effect.
func (s Service) readBy(parameter string) bool {
	switch s.Command {
	case "cleanup":
		return slices.Contains(cleanupParams, parameter)
	case "pickup":
		return slices.Contains(pickupParams, parameter)
	}
	return (s.listens() || s.Command == "smtpd") && !slices.Contains(cleanupParams, parameter)
}

// ForService is the configuration of a service that runs a command of Postfix's, such as
// "cleanup". Without a name it is the first that runs it, and where there is none, the
// configuration itself. A name that stands for nothing is an *Error. So is a value that
// cannot work.
func (c *Config) ForService(name, command string) (*Config, error) {
	for _, s := range c.services {
		if s.Command == command && s.Type != "inet" && (name == "" || s.Name == name) {
			of := c.forService(s)
			return of, of.checkValues()
		}
	}
	if name != "" && name != command && !c.noMaster {
		return nil, c.place("cleanup_service_name").fail("no service "+shown(name)+" runs "+command, "add it to master.cf, or correct the name")
	}
	return c, nil
}
