"""One thin file a verb: options in, a library call, the result out."""
