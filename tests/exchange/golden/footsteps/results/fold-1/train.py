import sys

import footsteps

footsteps.initialize(sys.argv[1])
with open(footsteps.output_dir + "weights.csv", "w") as file:
    file.write("6, 9, 42, and some more weights\n")
# changed
