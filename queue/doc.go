// Package queue keeps what was accepted until every recipient has a final state, and
// decides when, where and how many at once.
//
// The store (Store; on disk: queue/pebblestore) is the memory, the scheduler is the
// will. A message is in the queue when Commit of its draft has returned nil, and not
// before; it leaves when its last recipient is delivered, or failed with the report
// to its sender in the queue by the same commit. At-least-once: a crash between a
// next hop's 250 and our record of it sends the message again.
//
// The package knows neither SMTP nor DNS nor alias tables: Transport and Notifier,
// declared here, are plugged in.
package queue
