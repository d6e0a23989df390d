// Package sim is a world of next hops for the queue's scheduler to be proven in: hosts
// that are slow, limit connections, greylist, limit the rate of mail, break down and come
// back, and mail that comes steadily, in bursts, as a backlog, for many domains, in bulk.
// Nothing of the program imports it: its tests are the proof, and docs/scheduler.md shows
// what they measured.
//
// # Terms
//
// A host is one machine that takes mail (Host). A site is the hosts that answer for a
// domain, or for ten thousand of them (Site). The world holds the sites (World); it is the
// queue's Transport and says which domain belongs to which site (queue.Sites). The book is
// what happened: every letter, every attempt, every connection (Book). A trace is when
// which letters come (Trace).
//
// # How it is run
//
// The real queue.Queue runs on a real store, and knows the world by its public interfaces
// alone. Everything happens inside a bubble of testing/synctest: days pass in milliseconds,
// and what is measured is what the rules do, not how fast the machine is. Inside one
// instant the order of goroutines is not fixed, so that figures differ a little between
// runs; the seed fixes all else.
//
//	world := sim.NewWorld(1)
//	site := world.Add(&sim.Site{Name: "limiter", Hosts: []*sim.Host{{Limit: 10, Deliver: time.Second}}})
//	rig, err := sim.Start(sim.Setup{Store: store, World: world, Params: sim.Defaults()})
//	rig.Feed(sim.Backlog(1000, site.Domain(0)))
//	rig.Stop()
//
// # Invariants
//
//   - A letter that was queued is delivered, was reported as failed, or is in the queue:
//     Rig.Lost counts what is none of that.
//   - The world counts connections itself, from when one is begun until it is closed. What
//     the queue believes is not asked.
package sim
