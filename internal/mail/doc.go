// Package mail holds the words that all rooms of aliasmx use: addresses, the
// envelope of a message, its recipients, queue IDs, statuses, and the types that
// cross from one room to another.
//
// It is the vocabulary and nothing else: it opens no file, no socket and no table.
//
// Terms are Postfix's and the RFCs': a reverse-path is what MAIL FROM names, the
// original recipient is the address as the client wrote it, the final recipient is
// where the alias table leads, a destination is the transport and next hop that
// serve it (transport(5)).
package mail
