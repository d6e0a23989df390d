package alias

// WithoutMappings is the same Resolver for a service that leaves addresses as they are
// (postconf(5): receive_override_options, no_address_mappings): no canonical form, no
// aliases, no automatic copies. A message is to be mapped once, before a content filter or
// behind it. Which recipients there are is decided as before, by all the tables.
func (r *Resolver) WithoutMappings() *Resolver {
	plain := *r
	if r.refuseUnlisted {
		plain.mapped = r
	}
	plain.refuseUnlisted = false
	plain.aliases, plain.senderBcc, plain.recipientBcc = searched{}, searched{}, searched{}
	plain.canonicals, plain.masquerades = [places][]canonicalMaps{}, [places]bool{}
	plain.o.AlwaysBcc, plain.keepReturns = "", true
	return &plain
}
