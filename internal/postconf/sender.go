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

// hasEffectOnSending tells whether a parameter means something for a sender. What says how
// much is sent at a time is the scheduler's, which has one main.cf for all.
func hasEffectOnSending(name string) bool {
	if strings.HasPrefix(name, "smtp_shaping_") || ofTransport(name, []string{"smtp", "lmtp"}) != nil {
		return false
	}
	return strings.HasPrefix(name, "smtp_") || strings.HasPrefix(name, "lmtp_") || slices.Contains(senderParams, name)
}

// ownTransports are those that are always there.
var ownTransports = []string{"smtp", "relay", "lmtp", "local", "virtual", "error", "retry", "discard"}

// shapes tells whether the name of a transport's parameter is that of a transport which we
// serve. A local name takes one recipient at a time, whatever is set.
func (c *Config) shapes(name string) bool {
	serves := func(transport string) bool { return ofTransport(name, []string{transport}) != nil }
	return name != "local_destination_recipient_limit" && (slices.ContainsFunc(ownTransports, serves) ||
		slices.ContainsFunc(c.services, func(s Service) bool { return s.sends() && serves(s.Name) }))
}
