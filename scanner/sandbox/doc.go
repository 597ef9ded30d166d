// Package sandbox runs what parses hostile bytes in child processes that can do
// nothing else: they see one read-only descriptor of their input and one socket to
// their parent. A parser that crashes, hangs or eats memory is the end of a child and
// a verdict of one object (Killed), not an incident of the server.
//
// # Parent
//
// A Pool starts children, gives them jobs and reads what they send: frames, which are
// streams of bytes with a header, and at the end a reply. A child does many jobs, one
// after the other, until a reply that calls itself hostile, an error, a limit, or
// Limits.Objects. The parent believes a child nothing: lengths, times and amounts are
// bounded on its side. Exec runs foreign programs, one child for each object.
//
// # Child
//
// A child is the same program, started anew with an empty environment; its main is
// Main, with the jobs it can do. Before its first job it locks itself in. The filter
// of system calls is enough to keep it from files and the network; Landlock closes
// the files once more, and both together with namespaces:
//
//	seccomp     only calls on descriptors and memory; no socket, path, process
//	Landlock    no file, no TCP, no signal and no abstract socket to the outside
//	namespaces  user, net, ipc, uts: no rights, and a network without an interface;
//	            of commands, and of workers where there is no seccomp
//	limits      address space, processor time, file size 0, descriptors, processes, no core
//
// and no_new_privs, the user nobody where the server is root, the first place in the
// queue of the kernel's out-of-memory killer, and an end with its parent's. Commands
// have Landlock rules for their paths and a list of forbidden calls in place of the
// list of allowed ones.
//
// What a kernel or a container does not have is left out; Pool.Report says what is in
// force, as a child has found it when it tried to get out. Other systems than Linux
// have nothing but the limits of time and output.
package sandbox
