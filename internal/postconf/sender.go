package postconf

import (
	"slices"
	"strings"
)

// Sender is a service that sends mail by SMTP or LMTP, with the configuration that holds
// for what goes through it.
type Sender struct {
	Name    string
	Command string // smtp or lmtp
	// Config has the service's -o in force; Own tells whether there are any.
	Config *Config
	Own    bool
	Where  string // "master.cf, line 12"
}

// sends tells whether a service is a sender.
func (s Service) sends() bool {
	return s.Type == "unix" && (s.Command == "smtp" || s.Command == "lmtp")
}

// Senders are the unix services of master.cf that run smtp or lmtp. A value of a -o that
// cannot work is an *Error.
func (c *Config) Senders() ([]Sender, error) {
	var list []Sender
	for _, s := range c.services {
		if !s.sends() {
			continue
		}
		sender := Sender{Name: s.Name, Command: s.Command, Config: c, Where: s.place().String()}
		if len(s.Overrides) > 0 {
			sender.Config, sender.Own = c.forService(s), true
			if err := sender.Config.checkValues(); err != nil {
				return nil, err
			}
		}
		list = append(list, sender)
	}
	return list, nil
}

// senderParams are what a sender reads beside smtp_* and lmtp_*.
var senderParams = []string{
	"disable_dns_lookups", "disable_mime_output_conversion", "fallback_relay", "inet_interfaces", "inet_protocols",
	"minimal_backoff_time", "myhostname", "proxy_interfaces", "relayhost", "send_cyrus_sasl_authzid", "syslog_name",
}

// hasEffectOnSending tells whether a parameter means something for a sender.
func hasEffectOnSending(name string) bool {
	return strings.HasPrefix(name, "smtp_") || strings.HasPrefix(name, "lmtp_") || slices.Contains(senderParams, name)
}

// limitsRecipients tells whether a name is that of a recipient limit which has an effect: of
// a transport that we serve.
func (c *Config) limitsRecipients(name string) bool {
	transport, ok := strings.CutSuffix(name, "_destination_recipient_limit")
	if !ok {
		return false
	}
	switch transport {
	case "smtp", "relay", "lmtp", "virtual", "error", "retry", "discard":
		return true
	}
	return slices.ContainsFunc(c.services, func(s Service) bool { return s.Name == transport && s.sends() })
}
