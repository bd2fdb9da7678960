//! Runs controllers: caches, queues, back-off, leases, carries plans out.
