// Package quota holds the limits: pure arithmetic (GCRA), and the stores that spend from them.
package quota
