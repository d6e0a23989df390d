package alias

// StripExtension takes the address extension off a local part (postconf(5):
// recipient_delimiter).
func (r *Resolver) StripExtension(local string) string {
	bare, _ := r.splitExtension(local)
	return bare
}
