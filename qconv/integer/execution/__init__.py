"""What an integer graph computes, in exact integers: the judge of onnxruntime."""
