"""What the command line, reports, server and explorer show: one function per view, plain JSON out."""
