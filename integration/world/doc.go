// Package world holds a whole server in virtual time: the rooms as the daemon puts them
// together, on a disk in memory, with an internet around them that is made up. Clients
// send, next hops refuse, slow down and go away, an operator has a hand in the queue, and
// the power fails. Five days of queue life take seconds.
//
// What happens is decided by a seed: each decision is a throw of dice whose numbers come
// from the seed and from what is to be decided, and not from when it is asked. At the end
// every recipient of every message that was acknowledged must have had exactly one fate,
// by what the next hops have got and by what the log tells. See docs/virtual-time.md.
package world
