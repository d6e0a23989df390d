package mail

// Class is the address class of a recipient domain (ADDRESS_CLASS_README).
type Class uint8

// The classes, in the order in which a domain is looked for.
const (
	ClassDefault        Class = iota // none of ours: relayed only for who may relay
	ClassLocal                       // mydestination, inet_interfaces
	ClassVirtualAlias                // virtual_alias_domains
	ClassVirtualMailbox              // virtual_mailbox_domains
	ClassRelay                       // relay_domains
)

func (c Class) String() string {
	switch c {
	case ClassLocal:
		return "local"
	case ClassVirtualAlias:
		return "virtual alias"
	case ClassVirtualMailbox:
		return "virtual mailbox"
	case ClassRelay:
		return "relay"
	}
	return "default"
}
