// Package reversealias lets the owner of an alias answer in its name. A reverse alias is an
// address at the alias's domain that stands for "the correspondent S, written to from alias
// A": mail from A's owner to it goes to S, and comes from A.
//
//	re=HASH=DOMAIN-OF-S=LOCAL-OF-S=LOCAL-OF-A@DOMAIN-OF-A
//
// Terms. The owner is whom an alias leads to; the correspondent is whom the owner writes to.
//
// What holds here:
//
//   - A reverse alias leads only to the correspondent it was made for, and only with a hash
//     that nobody can make without the secret. It does not expire: it stands in address
//     books. All of them end with their secret.
//   - What the correspondent gets names the owner in no field of the header: of the header
//     only what is known to be harmless goes on. The body goes on byte for byte.
//
// Who may use one is for others to say: the alias room knows the owners, and smtpd whether
// somebody is who he says he is.
package reversealias
